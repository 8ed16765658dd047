"""A slow line between network namespaces: what one end sends leaves another a time later.

    slow_line.py MICROSECONDS DEVICE DEVICE...

Makes a TUN device in this namespace and one in a new namespace for each further name. Says "ready" and a file for each
device's namespace, which `nsenter --net=FILE` enters, and carries IPv4 packets until standard input ends. Addresses are
for `ip` to set on the devices, rates for `tc`. Exit code 77: such devices or namespaces are refused.
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


def file_of_namespace():
    """By which others find it while this process lives."""
    return f"/proc/{os.getpid()}/fd/{os.open('/proc/self/ns/net', os.O_RDONLY)}"


def receive(device, queues, places, due):
    """Puts what comes out of a device into the queues of those that it may be for."""
    try:
        while True:
            packet = os.read(device, LARGEST)
            source, destination = packet[12:16], packet[16:20]
            places[source] = device
            for other in [places[destination]] if destination in places else queues:
                if other != device:
                    queues[other].append((due, packet))
    except BlockingIOError:
        pass


def carry(devices, delay):
    queues = {device: collections.deque() for device in devices}  # of what goes into a device
    places = {}  # the device behind which an address is, as its packets have told
    while True:
        first = [queue[0][0] for queue in queues.values() if queue]
        wait = max(0, min(first) - time.monotonic()) if first else None
        ready = select.select([*devices, sys.stdin], [], [], wait)[0]
        if sys.stdin in ready:
            return
        for device in devices:
            if device in ready:
                receive(device, queues, places, time.monotonic() + delay)
        for device, queue in queues.items():
            while queue and queue[0][0] <= time.monotonic():
                try:
                    os.write(device, queue.popleft()[1])
                except OSError:  # the device is not up
                    pass


def main():
    devices, files = [], []
    try:
        for name in sys.argv[2:]:
            if devices:
                enter_new_namespace()
            devices.append(make_device(name))
            files.append(file_of_namespace())
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENODEV):
            raise
        print(error)
        sys.exit(REFUSED)
    print("ready", *files, flush=True)
    carry(devices, 1e-6 * float(sys.argv[1]))


main()
