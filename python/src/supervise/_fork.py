"""The fork itself: one raw clone3(2), for what fork(3) cannot do.

The child is born straight into its cgroup, and it is a child of the supervisor, not of this
process. What the C library's fork() does besides is done here too, as far as a process with one
thread needs it; handlers of pthread_atfork(3) do not run.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Optional

_CLONE_PARENT = 0x8000
_CLONE_CHILD_CLEARTID = 0x200000
_CLONE_CHILD_SETTID = 0x1000000
_CLONE_INTO_CGROUP = 0x200000000  # Linux 5.7
_PR_GET_TID_ADDRESS = 40
_ARGS_SIZE_VER0, _ARGS_SIZE_VER2 = 64, 88  # of struct clone_args: Linux 5.3, 5.7

# machine: numbers of clone, clone3, get_robust_list, set_robust_list
_CALLS = {"x86_64": (56, 435, 274, 273), "aarch64": (220, 435, 100, 99)}


class Unavailable(Exception):
    """This interpreter or machine cannot fork workers; says why."""


class Forker:
    """Only for a process with one thread. Keeps the interpreter's lock over the whole fork."""

    def __init__(self) -> None:
        machine = os.uname().machine
        try:
            import ctypes
        except ImportError as error:
            raise Unavailable(f"this Python has no ctypes ({error}), by which workers are forked") from None
        if machine not in _CALLS or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise Unavailable(f"workers are forked on x86_64 and aarch64 only, and this is {machine}")
        try:
            self._c = ctypes.PyDLL(None, use_errno=True)
            self._before, self._after_in_parent, self._after_in_child = (
                self._c.PyOS_BeforeFork,
                self._c.PyOS_AfterFork_Parent,
                self._c.PyOS_AfterFork_Child,
            )
            self._syscall, self._write = self._c.syscall, self._c.write
            prctl = self._c.prctl
        except (OSError, AttributeError) as error:
            raise Unavailable(
                f"this Python does not show the functions that forking needs: {error}"
            ) from None
        self._syscall.restype = ctypes.c_long
        self._errno = ctypes.get_errno
        self._byref = ctypes.byref
        self._long = ctypes.c_long
        self._args = (ctypes.c_uint64 * (_ARGS_SIZE_VER2 // 8))()
        self._is_x86 = machine == "x86_64"
        self._clone_number, self._clone3_number, get_robust, self._set_robust = _CALLS[machine]
        self._has_clone3 = True
        self.join_error: Optional[OSError] = None

        # Where the C library keeps the thread's id: the kernel writes the child's there.
        address = ctypes.c_uint64()
        self._tid_address = 0
        if (
            prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), self._long(0), self._long(0), self._long(0))
            == 0
        ):
            kept = ctypes.c_int.from_address(address.value).value if address.value else 0
            if kept == threading.get_native_id():  # it is not with every C library
                self._tid_address = address.value

        self._robust_head, self._robust_size = ctypes.c_void_p(), ctypes.c_size_t()
        self._syscall(
            self._long(get_robust),
            self._long(0),
            ctypes.byref(self._robust_head),
            ctypes.byref(self._robust_size),
        )

    def fork(self, group: Optional[int], joins: list[int]) -> int:
        """0 in the child, and its process id here; OSError when there is none.

        `group`: a descriptor of the directory of the cgroup to be born into. `joins`: control files
        into which the child writes "0" before it does anything else; `join_error` there says what
        kept it from joining.
        """
        self._before()
        pid = self._clone3(group) if self._has_clone3 else self._clone()
        failure = self._errno()
        if pid < 0 and group is None and self._has_clone3 and failure in (errno.ENOSYS, errno.EPERM):
            self._has_clone3 = False  # an old kernel, or a container's filter
            pid = self._clone()
            failure = self._errno()
        if pid != 0:
            self._after_in_parent()
            if pid < 0:
                raise OSError(failure, os.strerror(failure))
            return pid
        failures = [self._errno() for file in joins if self._write(file, b"0", 1) != 1]
        self._syscall(self._long(self._set_robust), self._robust_head, self._robust_size)
        self._after_in_child()
        if failures:
            self.join_error = OSError(failures[0], f"joining a cgroup: {os.strerror(failures[0])}")
        return 0

    def _flags(self) -> int:
        return _CLONE_PARENT | (_CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID if self._tid_address else 0)

    def _clone3(self, group: Optional[int]) -> int:
        flags, size = self._flags(), _ARGS_SIZE_VER0
        if group is not None:
            flags, size = flags | _CLONE_INTO_CGROUP, _ARGS_SIZE_VER2
        # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, its size, cgroup
        self._args[:] = [flags, 0, self._tid_address, 0, 0, 0, 0, 0, 0, 0, group or 0]
        number = self._syscall(self._long(self._clone3_number), self._byref(self._args), self._long(size))
        return int(number)

    def _clone(self) -> int:
        # The exit signal is 0 as with clone3: CLONE_PARENT gives the child this process's own.
        tail = (0, self._tid_address, 0) if self._is_x86 else (0, 0, self._tid_address)
        arguments = (self._clone_number, self._flags(), 0, *tail)
        return int(self._syscall(*(self._long(argument) for argument in arguments)))
