"""A slow line from this network namespace to one of its own: what one end sends leaves the other a time later.

    slow_line.py MICROSECONDS DEVICE OTHER_DEVICE

Makes a TUN device in each, says "ready", and carries packets until standard input ends. The other namespace is this
process's: `nsenter -t PID -n` enters it. Rates are for `tc` to set on the devices. Exit code 77: such devices or
namespaces are refused.
"""
import collections
import ctypes
import errno
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
LARGEST, REFUSED = 65536, 77


def make_device(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def enter_new_namespace():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


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
    try:
        device = make_device(sys.argv[2])
        enter_new_namespace()
        other = make_device(sys.argv[3])
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENODEV):
            raise
        print(error)
        sys.exit(REFUSED)
    print("ready", flush=True)
    carry((device, other), 1e-6 * float(sys.argv[1]))


main()
