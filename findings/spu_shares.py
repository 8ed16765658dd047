"""For the findings about SPU: JAX functions on shares of two parties."""
import jax, numpy as np, spu
from spu import libspu
from spu.utils.simulation import Simulator, sim_jax

PADE, FM128 = libspu.RuntimeConfig.ExpMode.EXP_PADE, libspu.FieldType.FM128
print("spu", spu.__version__, "jax", jax.__version__)


def on_shares(function, *data, field=libspu.FieldType.FM64, **settings):
    """What the function gives by SEMI2K. Settings are fields of SPU's RuntimeConfig; those not named have its defaults."""
    config = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.SEMI2K, field=field)
    for name, value in settings.items():
        setattr(config, name, value)
    return np.asarray(sim_jax(Simulator(2, config), function)(*data))
