// For the checker's child: a crash leaves its signal and faulting address behind.
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace fd {
namespace {

namespace py = pybind11;

int faults_fd = -1;

struct Fault {
  int64_t signal;
  uint64_t address;
};

// Only what is allowed in a signal handler: one write, and death by the same signal.
void report(int number, siginfo_t* info, void*) {
  const Fault fault{number, reinterpret_cast<uint64_t>(info->si_addr)};
  if (write(faults_fd, &fault, sizeof fault) < 0) _exit(128 + number);
  signal(number, SIG_DFL);
  raise(number);
}

// Of this thread, a stack of its own for the handler: a stack overflow leaves no other.
void watch_faults(int fd) {
  faults_fd = fd;
  stack_t stack{};
  stack.ss_size = size_t{1} << 16;
  stack.ss_sp = std::malloc(stack.ss_size);
  if (!stack.ss_sp || sigaltstack(&stack, nullptr) != 0) throw std::bad_alloc();
  struct sigaction action{};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) {
    if (sigaction(number, &action, nullptr) != 0) throw std::runtime_error("sigaction");
  }
}

}  // namespace

void bind_faults(py::module_& m) { m.def("watch_faults", &watch_faults, py::arg("fd")); }

}  // namespace fd
