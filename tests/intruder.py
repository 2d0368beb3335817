#!/usr/bin/python3
"""Run as root in a guest: tries to get at what is not its own, and prints what it got as JSON. Nothing is the aim.

Uses the standard library alone. Every attempt is harmless where it succeeds.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import socket
import stat
import sys
from pathlib import Path

CANARY = "@CANARY@"
ADDRESSES = json.loads('@ADDRESSES@')  # fmt: skip
libc = ctypes.CDLL(None, use_errno=True)
got = {}
tried = []
REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EINVAL,
           errno.EAFNOSUPPORT, errno.ENOTBLK, errno.EBUSY}  # fmt: skip

X86 = platform.machine() == "x86_64"
CALLS = {  # name: (number on x86-64, number on arm64, arguments)
    "init_module": (175, 105, (0, 0, 0)), "finit_module": (313, 273, (0, 0, 0)), "delete_module": (176, 106, (0, 0)),
    "bpf": (321, 280, (0, 0, 0)), "perf_event_open": (298, 241, (0, 0, -1, -1, 0)), "kexec_load": (246, 104, (0, 0, 0, 0)),
    "kexec_file_load": (320, 294, (0, 0, 0, 0, 0)), "add_key": (248, 217, (0, 0, 0, 0, 0)),
    "request_key": (249, 218, (0, 0, 0, 0)), "keyctl": (250, 219, (0, -3, 0, 0, 0)), "syslog": (103, 116, (10, 0, 0)),
    "open_by_handle_at": (304, 265, (-1, 0, 0)), "userfaultfd": (323, 282, (0,)), "io_uring_setup": (425, 425, (0, 0)),
    "swapon": (167, 224, (0, 0)), "swapoff": (168, 225, (0,)), "quotactl": (179, 60, (0, 0, 0, 0)),
    "acct": (163, 89, (0,)), "settimeofday": (164, 170, (0, 0)), "fanotify_init": (300, 262, (0, 0)),
    "lookup_dcookie": (212, 18, (0, 0, 0)), "nfsservctl": (180, 42, (0, 0, 0)), "iopl": (172, None, (3,)),
    "ioperm": (173, None, (0x70, 1, 1)), "uselib": (134, None, (0,)),
}  # fmt: skip


def attempt(name, work):
    """`work` raises where it was refused and returns nothing where there is nothing; all else is what was got."""
    tried.append(name)
    try:
        found = work()
    except OSError as error:
        if error.errno not in REFUSED:
            got[name] = str(error)
        return
    if found:
        got[name] = found


def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return "done"


def mount(source, target, kind, flags=0, options=""):
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return f"mounted {kind}"


def uncover():
    """What was only put out of sight is looked at, too: this root may unmount."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in points[::-1]:
        if point.startswith(("/proc/", "/sys/")) and not point.startswith("/sys/fs/cgroup"):
            libc.umount2(point.encode(), 2)
    for flag in (0x20, 0x20 | 0x1000):  # remount, remount as bind: writable
        libc.mount(b"none", b"/sys", b"sysfs", ctypes.c_ulong(flag), b"")


def opened(path, flags=os.O_RDONLY):
    handle = os.open(path, flags | os.O_NONBLOCK)
    try:
        return f"opened; read {os.read(handle, 16)!r}" if flags == os.O_RDONLY else "opened to write"
    finally:
        os.close(handle)


def made_node(kind, major, minor):
    os.mknod("/root/node", kind | 0o600, os.makedev(major, minor))
    try:
        return opened("/root/node") or "made"
    finally:
        os.unlink("/root/node")


def writable(top, fine=()):
    """Files of the kernel's own trees that open for writing."""
    found = []
    for at, folders, files in os.walk(top):
        if any(at.startswith(prefix) for prefix in fine):
            folders[:] = []
            continue
        for name in files:
            path = f"{at}/{name}"
            if path.startswith(tuple(fine)):
                continue
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                found.append(path)
    return found


def nodes():
    """Device nodes but for the harmless ones and its own terminals."""
    harmless = {(0, 0), (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}
    found = []
    for at, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if not (at == "/" and f in ("proc", "sys"))]
        for name in files:
            info = os.lstat(f"{at}/{name}")
            number = (os.major(info.st_rdev), os.minor(info.st_rdev))
            device = stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode)
            if device and number not in harmless and not (136 <= number[0] <= 143):
                found.append(f"{at}/{name} {number}")
    return found


def canaries():
    """Names, environments, command lines, sockets and mounts of somebody else's, known by a word."""
    found = [f"{at}/{n}" for at, f, names in os.walk("/") if not at.startswith(("/proc", "/sys")) for n in names
             if CANARY in n]  # fmt: skip
    for path in [*Path("/proc").glob("[0-9]*/*"), Path("/proc/net/unix"), Path("/proc/cmdline")]:
        if path.name in ("environ", "cmdline", "mountinfo", "cgroup", "unix", "comm") and path.parts[2] != str(
            os.getpid()
        ):
            with contextlib.suppress(OSError):
                if CANARY.encode() in path.read_bytes():
                    found.append(str(path))
    return found


def inherited():
    """Descriptors of init and of this program that lead out of the machine."""
    found = []
    for pid in ("1", "self"):
        for handle in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                to = os.readlink(f"/proc/{pid}/fd/{handle}")
                fine = to.startswith(
                    ("/dev/null", "socket:", "pipe:", "anon_inode:", "/proc/", "/sys/fs/cgroup", "/run/")
                )
                if not (fine or (to.startswith(("/root", "/tmp/", "/var/", "/usr/")) and os.path.lexists(to))):
                    found.append(f"{pid}: {handle} -> {to}")
    with contextlib.suppress(OSError):
        found += [] if os.getcwd().startswith("/") else [os.getcwd()]
    return found


def kernel_mounts():
    """Instances of the kernel's file systems that it could have mounted, and that show what is not its own."""
    found = []
    Path("/root/m").mkdir(exist_ok=True)
    for kind in ("debugfs", "tracefs", "securityfs", "configfs", "devtmpfs", "efivarfs", "pstore", "fusectl", "selinuxfs",
                 "hugetlbfs", "binder", "nfsd", "rpc_pipefs", "resctrl"):  # fmt: skip
        with contextlib.suppress(OSError):
            mount("none", "/root/m", kind)
            inside = os.listdir("/root/m")
            libc.umount2(b"/root/m", 2)
            if inside:
                found.append(f"{kind}: {inside[:5]}")
    with contextlib.suppress(OSError):
        mount("none", "/root/m", "bpf")
        found += [f"bpf: {name}" for name in os.listdir("/root/m")]
        libc.umount2(b"/root/m", 2)
    return found


def cgroups():
    """Its own limits must not be its own to change, nor a release agent to set (CVE-2022-0492)."""
    found = []
    Path("/root/cg").mkdir(exist_ok=True)
    places = ["/sys/fs/cgroup"]
    for kind, options in (("cgroup", "memory"), ("cgroup", "pids"), ("cgroup", "rdma"), ("cgroup", "none,name=x"),
                          ("cgroup2", "")):  # fmt: skip
        with contextlib.suppress(OSError):
            target = f"/root/cg/{kind}{len(places)}"
            os.makedirs(target, exist_ok=True)
            mount("none", target, kind, 0, options)
            places.append(target)
    limits = ("memory.limit_in_bytes", "memory.max", "pids.max", "release_agent", "cpu.cfs_quota_us", "cpu.max",
              "devices.allow", "memory.high")  # fmt: skip
    for place in places:
        # The directories at the top are the machine's own cgroup; below it may do as it likes.
        tops = [place] if place != places[0] else [place, *(f"{place}/{name}" for name in os.listdir(place))]
        for top in tops:
            for name in limits:
                with contextlib.suppress(OSError):
                    os.close(os.open(f"{top}/{name}", os.O_WRONLY))
                    found.append(f"{top}/{name}")
    for place in places[1:]:
        libc.umount2(place.encode(), 2)
    return found


def more_processes():
    """Processes that init is no ancestor of, and pids outside."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            inner = status["NSpid"].split()
            if len(inner) != 1:
                found.append(pid)
    return found


def rlimits():
    found = []
    for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_MEMLOCK", "RLIMIT_RTPRIO", "RLIMIT_MSGQUEUE"):
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        if hard == resource.RLIM_INFINITY:
            continue
        try:
            resource.setrlimit(number, (hard, hard + 1))
            found.append(name)
        except (ValueError, OSError):
            pass
    return found


def sockets():
    """Families that know no network namespace or have no use here, by socket(2); the 32-bit way is no way."""
    found = []
    for family in range(46):
        if family not in (1, 2, 10, 16, 17):
            with contextlib.suppress(OSError):
                socket.socket(family, socket.SOCK_STREAM).close()
                found.append(family)
    for protocol in (6, 8, 18, 20, 21):  # XFRM, iSCSI, SCSI transport, RDMA, crypto
        with contextlib.suppress(OSError):
            socket.socket(16, socket.SOCK_RAW, protocol).close()
            found.append(f"netlink {protocol}")
    return found


def abstract():
    """Unix sockets without a file belong to the network namespace."""
    with socket.socket(socket.AF_UNIX) as made:
        try:
            made.connect(f"\0{CANARY}")
        except ConnectionRefusedError:
            return None
    return "connected"


def reached():
    found = []
    for address, port in ADDRESSES:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 0.4):
            found.append(f"{address}:{port}")
    return found


def namespaces():
    """A user namespace of its own gains nothing: the same is tried in there."""
    if libc.unshare(0x10000000) < 0:
        return None
    found = {}
    for name, work in (("mknod", lambda: made_node(stat.S_IFBLK, 254, 0)),
                       ("sysctl", lambda: opened("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
                       ("mounts", kernel_mounts), ("sockets", sockets), ("cgroups", cgroups)):  # fmt: skip
        try:
            result = work()
        except OSError:
            continue
        if result:
            found[name] = result
    return found


def main():
    uncover()
    for name, (x86, arm, arguments) in CALLS.items():
        number = x86 if X86 else arm
        if number is not None:
            attempt(f"call {name}", lambda: call(number, *arguments))  # noqa: B023 - called at once
    for kind, major, minor in ((stat.S_IFBLK, 254, 0), (stat.S_IFBLK, 7, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 10, 237),
                               (stat.S_IFCHR, 10, 200)):  # fmt: skip
        attempt(f"mknod {major}:{minor}", lambda: made_node(kind, major, minor))  # noqa: B023
    for path in ("/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/port", "/proc/kallsyms", "/proc/vmallocinfo",
                 "/proc/slabinfo", "/proc/kpagecount", "/sys/kernel/debug/tracing",
                 "/sys/kernel/security/lsm", "/sys/firmware/dmi/tables/DMI"):  # fmt: skip
        if path == "/proc/kallsyms":
            attempt(path, lambda: [line for line in Path(path).read_text().splitlines()  # noqa: B023
                                   if not line.startswith("0" * 16)][:3])  # fmt: skip
        else:
            attempt(path, lambda: opened(path))  # noqa: B023
    attempt("sysrq", lambda: opened("/proc/sysrq-trigger", os.O_WRONLY))
    attempt("keys", lambda: Path("/proc/keys").read_text())
    fine = ("/proc/sys/net", "/proc/sys/user", "/proc/sys/fs/mqueue")
    own = {"hostname", "domainname", "shmmax", "shmall", "shmmni", "shm_rmid_forced", "shm_next_id", "msgmax", "msgmni",
           "msgmnb", "msg_next_id", "sem", "sem_next_id", "auto_msgmni", "ns_last_pid", "pid_max"}  # fmt: skip
    attempt("sysctls", lambda: [p for p in writable("/proc/sys", fine) if Path(p).name not in own])
    attempt("sysfs", lambda: [p for p in writable("/sys", ("/sys/fs/cgroup",)) if "/net/" not in p])
    for work in (nodes, canaries, inherited, kernel_mounts, cgroups, more_processes, rlimits, sockets, abstract,
                 reached):  # fmt: skip
        attempt(work.__name__, work)
    child = os.fork()
    if child == 0:
        with Path("/root/inner").open("w") as out:
            json.dump(namespaces(), out)
        os._exit(0)
    os.waitpid(child, 0)
    inner = json.loads(Path("/root/inner").read_text())
    tried.append("a user namespace inside")
    if inner:
        got["a user namespace inside"] = inner
    json.dump({"tried": len(tried), "got": got}, sys.stdout)


main()
