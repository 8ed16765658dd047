#!/usr/bin/env bash
# CrypTen: its count of bytes is twice what a party sends
#
# One would expect: get_communication_stats, with cfg.communicator.verbose, says what this party sent; two parties of one
# program are counted alike; what a table of a paper calls communication is that, or the sum over both.
# What happens (0.4.1, two parties, gloo over TCP): for a product, a matrix product, a comparison, a ReLU, and a result opened
# to both, each party counts 2.0 times what its sockets sent by the kernel's own counters: sent and received together, at
# both parties. The sum over the parties is four times what one sends.
# Why it matters: other systems (SIGMA, twain) state bytes sent a party. CrypTen's numbers, and those of what is built on it,
# put beside them unhalved make it look twice as costly, and a time computed from them for a full-duplex line is twice
# too long.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v torch==2.15.0 numpy==2.4.6 omegaconf==2.3.0 alone crypten==0.4.1
cat >party.py <<'P'
import importlib.metadata, os, socket, struct, sys, types
# CrypTen's reader of ONNX files, which is not used here, does not load with this PyTorch.
sys.modules["crypten.nn.onnx_converter"] = types.SimpleNamespace(
    from_onnx=None, from_pytorch=None, from_tensorflow=None, TF_AND_TF2ONNX=False)
import crypten, torch
import torch.distributed as distributed
rank = int(sys.argv[1])
os.environ.update(RANK=str(rank), WORLD_SIZE="2", RENDEZVOUS="file://" + os.path.abspath("meet"),
                  DISTRIBUTED_BACKEND="gloo", GLOO_SOCKET_IFNAME="lo")

def sent(): # by all TCP connections of this process, from tcp_info of Linux: bytes_sent lies at 200
    total = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink("/proc/self/fd/" + name).startswith("socket:"): continue
        except FileNotFoundError: continue # the listing itself
        s = socket.socket(fileno=int(name))
        if s.type == socket.SOCK_STREAM and s.family in (socket.AF_INET, socket.AF_INET6):
            total += struct.unpack_from("Q", s.getsockopt(socket.IPPROTO_TCP, 11, 256), 200)[0]
        s.detach() # it belongs to gloo
    return total

crypten.init()
if rank == 0: print("crypten", importlib.metadata.version("crypten"), "torch", torch.__version__, file=sys.stderr)
crypten.cfg.communicator.verbose = True
count = crypten.communicator.get()
x, y = (crypten.cryptensor(torch.ones(500, 500)) for _ in range(2))
works = {"product": lambda: x * y, "matrix product": lambda: x @ y, "comparison": lambda: x > y, "ReLU": lambda: x.relu(),
         "opened to both": lambda: x.get_plain_text()}
for name, work in works.items():
    distributed.barrier()
    before = sent()
    count.reset_communication_stats()
    work()
    distributed.barrier()
    counted, left = count.get_communication_stats()["bytes"], sent() - before
    print(f"party {rank}, {name}: {counted / left:.1f}")
P
for rank in 0 1; do "$scratch/v/bin/python" party.py $rank >said$rank 2>log$rank & done
wait
grep '^crypten' log0 || { tail -n 5 log0 log1; exit 1; }
for rank in 0 1; do
  while read -r line; do
    same "bytes counted for each byte sent, ${line%%: *}" "${line##*: }" 2.0
  done <said$rank
  same "lines" "$(wc -l <said$rank)" 5
done
verdict
