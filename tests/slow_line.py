"""A slow line between this network namespace and another one: what one end sends leaves the other a time later.

    slow_line.py MICROSECONDS DEVICE NAMESPACE OTHER_DEVICE

Makes a TUN device in each, says so on standard output, and carries packets until standard input ends. Rates are for
`tc` to set on the devices.
"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
LARGEST = 65536


def make_device(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def enter(path):
    with open(path) as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")


def receive(device, queue, delay):
    try:
        while True:
            queue.append((time.monotonic() + delay, os.read(device, LARGEST)))
    except BlockingIOError:
        pass


def carry(devices, delay):
    queues = {device: collections.deque() for device in devices}  # of what comes out of a device
    while True:
        due = [queue[0][0] for queue in queues.values() if queue]
        wait = max(0, min(due) - time.monotonic()) if due else None
        ready = select.select([*devices, sys.stdin], [], [], wait)[0]
        if sys.stdin in ready:
            return
        for device, other in (devices, devices[::-1]):
            receive(device, queues[device], delay)
            while queues[device] and queues[device][0][0] <= time.monotonic():
                try:
                    os.write(other, queues[device].popleft()[1])
                except OSError:  # the device is not up
                    pass


def main():
    delay, name, namespace, other_name = 1e-6 * float(sys.argv[1]), *sys.argv[2:5]
    home = f"/proc/{os.getpid()}/ns/net"
    device = make_device(name)
    kept = os.open(home, os.O_RDONLY)
    enter(f"/run/netns/{namespace}")
    other = make_device(other_name)
    enter(f"/proc/self/fd/{kept}")
    print("ready", flush=True)
    carry((device, other), delay)


main()
