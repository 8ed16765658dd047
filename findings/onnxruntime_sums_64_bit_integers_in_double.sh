#!/usr/bin/env bash
# ONNX Runtime: ReduceSum of 64-bit integers loses what a double cannot hold, and ends at the largest integer
#
# One would expect: a type int64 in and out, integer arithmetic between; past the end it wraps round, as Add, Mul and MatMul
# do there, and as NumPy and PyTorch do.
# What happens (1.31.1, CPU): ReduceSum, ReduceMean, ReduceL1, ReduceProd and a sum by Einsum go through doubles. One single
# value of 2^53 + 1 comes back as 2^53; a sum past 2^63 is 2^63 - 1, and for int32 past 2^31 it is 2^31 - 1. MatMul with a column of
# ones, CumSum, Add and ReduceMax are exact, and those that add do wrap. uint64 is refused by ReduceSum and taken by MatMul.
# Nothing is said.
# Why it matters: shares are integers mod 2^64, of all sizes. A plain twin or a share's arithmetic that is exported from PyTorch
# is exact in each product and wrong in the last bits of each sum; the opened result then is noise, and the products are
# searched for the fault. Write sums as products with ones.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
python v <<'P'
import numpy as np, onnxruntime
from onnx import TensorProto, helper
from verdict import end, same
print("onnxruntime", onnxruntime.__version__)
onnxruntime.set_default_logger_severity(4)
kinds = {"int64": TensorProto.INT64, "int32": TensorProto.INT32, "uint64": TensorProto.UINT64}
def run(operation, *inputs, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(operation, names, ["y"], **attributes)
    described = [helper.make_tensor_value_info(n, kinds[str(x.dtype)], x.shape) for n, x in zip(names, inputs)]
    graph = helper.make_graph([node], "one", described, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return int(session.run(None, dict(zip(names, inputs)))[0].ravel()[-1])
    except Exception as error:
        return type(error).__name__
def integers(*values, kind=np.int64): return np.array(values, kind)
odd, large = 2**53 + 1, 2**62
def ones(x): return run("MatMul", x[None], np.ones((len(x), 1), x.dtype))
print("the single value 2^53 + 1 =", odd)
for operation in ("ReduceSum", "ReduceMean", "ReduceL1", "ReduceProd"): same(operation, run(operation, integers(odd)), odd - 1)
same("Einsum i->", run("Einsum", integers(odd), equation="i->"), odd - 1)
same("ReduceMax", run("ReduceMax", integers(odd)), odd)
print("2^53 + 1, as a sum of two")
same("ReduceSum", run("ReduceSum", integers(2**53, 1)), odd - 1)
same("Add", run("Add", integers(2**53), integers(1)), odd)
same("CumSum", run("CumSum", integers(2**53, 1), np.array(0, np.int32)), odd)
same("MatMul with ones", ones(integers(2**53, 1)), odd)
same("numpy", int(integers(2**53, 1).sum()), odd)
print("2^62 three times")
same("ReduceSum", run("ReduceSum", integers(large, large, large)), 2**63 - 1)
same("MatMul with ones", ones(integers(large, large, large)), 3 * large - 2**64)
same("numpy", int(integers(large, large, large).sum()), 3 * large - 2**64)
same("int32, 2^31 - 1 and 1: ReduceSum", run("ReduceSum", integers(2**31 - 1, 1, kind=np.int32)), 2**31 - 1)
same("  MatMul with ones", ones(integers(2**31 - 1, 1, kind=np.int32)), -2**31)
same("uint64: ReduceSum", run("ReduceSum", integers(1, 2, kind=np.uint64)), "NotImplemented")
same("  MatMul with ones", ones(integers(2**63, 5, kind=np.uint64)), 2**63 + 5)
end()
P
