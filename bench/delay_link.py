"""A link with delay for `npm run bench -- far`, where the kernel has no `netem`.

Two TUN devices, one here and one in the network namespace of another process. Each packet that enters one of them leaves
the other after half of the round trip. Packets keep the form in which the kernel hands them over (segments are cut late,
checksums are left out), so one Python process carries several hundred megabytes a second.

    delay_link.py PID RTT_MS    prints a line when the devices exist, and ends with its standard input
"""

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
HEADER_BYTES = 10
LARGEST = 65536 + HEADER_BYTES
# A turn of the loop reads so many packets at most, so that none waits long for its time.
BURST = 32


def open_device(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(device, TUNSETVNETHDRSZ, struct.pack("i", HEADER_BYTES))
    fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return device


def carry(near, far, delay):
    """Passes packets on until the standard input ends."""
    ways = [(near, far, collections.deque()), (far, near, collections.deque())]
    poll = select.epoll()
    for device in (near, far, 0):
        poll.register(device, select.EPOLLIN)
    while True:
        due = [queue[0][0] for _, _, queue in ways if queue]
        wait = min(due) - time.monotonic() if due else None
        for ready, _ in poll.poll(-1 if wait is None else max(0.0, wait)):
            if ready == 0 and not os.read(0, 1):
                return
        for source, target, queue in ways:
            at = time.monotonic() + delay
            for _ in range(BURST):
                try:
                    queue.append((at, os.read(source, LARGEST)))
                except BlockingIOError:
                    break
            now = time.monotonic()
            while queue and queue[0][0] <= now:
                try:
                    os.write(target, queue[0][1])
                except BlockingIOError:
                    break
                except OSError:
                    pass  # A device that is being taken down; the packet is lost.
                queue.popleft()


def main():
    pid, rtt_ms = sys.argv[1], float(sys.argv[2])
    near, far = open_device("far0"), open_device("far1")
    subprocess.run(["ip", "link", "set", "far1", "netns", pid], check=True)
    print("ready", flush=True)
    carry(near, far, rtt_ms / 2000)


main()
