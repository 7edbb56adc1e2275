#!/usr/bin/env python3
"""Runs a command on a machine that refuses io_uring, as containers and hardened systems do.

    tests/no_io_uring.py COMMAND [ARGUMENT ...]

A seccomp filter, inherited by everything the command starts, answers io_uring_setup,
io_uring_enter and io_uring_register with EPERM. x86-64 and aarch64 have the same numbers for
them, so the filter needs no more than the number. Exit code 77 if the filter cannot be installed.
"""

import ctypes
import errno
import os
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_GREATER_EQUAL, JUMP_IF_GREATER, RETURN = 0x20, 0x35, 0x25, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
IO_URING_SETUP, IO_URING_REGISTER = 425, 427


class Instruction(ctypes.Structure):
    """struct sock_filter"""

    _fields_ = [
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    ]


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    instructions = (Instruction * 5)(
        Instruction(LOAD_WORD, 0, 0, 0),  # the system call's number
        Instruction(JUMP_IF_GREATER_EQUAL, 0, 1, IO_URING_SETUP),
        Instruction(JUMP_IF_GREATER, 0, 1, IO_URING_REGISTER),
        Instruction(RETURN, 0, 0, ALLOW),
        Instruction(RETURN, 0, 0, FAIL | errno.EPERM),
    )
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_ulong
    if libc.prctl(PR_SET_NO_NEW_PRIVS, number(1), number(0), number(0), number(0)) != 0 or (
        libc.prctl(PR_SET_SECCOMP, number(SECCOMP_MODE_FILTER), ctypes.byref(program)) != 0
    ):
        print(f"no_io_uring: cannot install the filter: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(77)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
