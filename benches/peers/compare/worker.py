"""A worker: a process that does one peer's work in one configuration, when it is asked, and sleeps otherwise."""

import os
import subprocess
import tempfile

# How libraries are told their number of threads.
THREADS = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "MATMUL_NUM_THREADS",
    "TAPEGRAD_THREADS",
]
# What else changes how they run, and must not leak in from the shell: OPENBLAS_CORETYPE, say, chooses other kernels.
TUNING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "RAYON_", "MATMUL_", "MALLOC_", "TAPEGRAD_", "XLA_", "JAX_", "TORCH")

# glibc keeps freed memory, where it would else give large blocks back to the system at once and fault them in again.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 26)}


class WorkerFailed(Exception):
    """The process ended, or answered something else than numbers."""


class Worker:
    """Answers `ask`. Close it, or use it in a `with`."""

    def __init__(self, name, command, threads, environment=None, one_core=False):
        self.name = name
        clean = {key: value for key, value in os.environ.items() if not key.startswith(TUNING)}
        clean.update({key: str(threads) for key in THREADS})
        clean.update(environment or {})
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=clean,
            preexec_fn=stay_on_one_core if one_core else None,
        )

    def ask(self, request, *words):
        """The numbers that the worker answers."""
        try:
            print(request, *words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended; what follows says why
        for line in self.process.stdout:
            if line.startswith(">"):
                return [float(number) for number in line[1:].split()]
        self.process.wait()
        self.errors.seek(0)
        last = self.errors.read().decode(errors="replace").strip().splitlines()[-8:]
        raise WorkerFailed(f"{self.name}, asked {request}: ended with {self.process.returncode}\n  " + "\n  ".join(last))

    def close(self):
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stay_on_one_core():
    """For a library that has no setting for one thread."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
