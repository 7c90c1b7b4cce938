#!/bin/sh
# The library minds its own business: it prints nothing, ends no program, handles no signal, and leaves
# alone environment, locale and the exit of the process; nothing of it runs as it is loaded. Looks at
# the functions that it calls, and for constructors in its objects. Usage: manners.sh SHARED STATIC, or
# manners.sh --refuses CC for a test of this test. SPDX-License-Identifier: MIT
set -eu
command -v readelf > /dev/null || { echo "no readelf"; exit 77; }

# By what they would do. vsnprintf() and the like, which fill the caller's memory, are fine; so is
# pthread_sigmask(), with which the threads of a pool leave all signals to the program's.
forbidden="
output: printf vprintf fprintf vfprintf dprintf vdprintf puts putchar putc fputs fputc fwrite perror
output: fopen fopen64 fdopen fflush stdout stderr stdin psignal psiginfo syslog vsyslog openlog write
output: __printf_chk __fprintf_chk __vprintf_chk __vfprintf_chk __dprintf_chk _IO_putc putchar_unlocked
end: abort exit _exit _Exit quick_exit __assert_fail __assert err errx verr error __fortify_fail
signals: signal sigaction bsd_signal sysv_signal __sysv_signal raise kill pthread_kill alarm setitimer
signals: sigprocmask sigsuspend sigaltstack ualarm timer_create
environment: getenv secure_getenv __secure_getenv setenv putenv unsetenv clearenv environ __environ
locale: setlocale newlocale uselocale duplocale freelocale bindtextdomain textdomain localeconv
process: fork vfork execve execl execv execvp system popen posix_spawn posix_spawnp chdir fchdir umask
process: setrlimit setrlimit64 nice setpriority sched_setaffinity prctl
exit: atexit on_exit __cxa_atexit at_quick_exit pthread_atfork __register_atfork
random: rand srand random srandom drand48 srand48 time gettimeofday
"

check() { # shared library, static library
  failed=0
  nm -D --undefined-only "$1" | awk '{ sub(/@.*/, "", $2); print $2 }' > "$work/calls"
  if grep -qE '^__(asan|ubsan|tsan|msan|gcov|llvm_profile|sanitizer)_|^__sancov' "$work/calls"; then
    echo "a build with a sanitizer or coverage, which have manners of their own"
    exit 77
  fi
  grep -qx memcpy "$work/calls" || { echo "$1: no calls found"; exit 1; }
  while read -r name; do
    for line in $(echo "$forbidden" | tr ' ' ','); do
      case ",${line#*:}," in
      *",$name,"*) echo "$1 calls $name (${line%%:*})"; failed=1 ;;
      esac
    done
  done < "$work/calls"
  # The compiler's own start files have some; no object of ours may.
  if readelf -SW "$2" | grep -E '\.(init_array|fini_array|preinit_array|ctors|dtors)'; then
    echo "$2: something would run as the library is loaded or unloaded"
    failed=1
  fi
  return $failed
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$1" != --refuses ]; then
  check "$1" "$2"
  exit 0
fi

# ---- each kind of misbehaviour is found ------------------------------------------------------------

shift
try() { # code, words; "": it is fine
  {
    printf '#include <%s>\n' locale.h signal.h stdio.h stdlib.h string.h
    echo 'void *copy(void *a, void *b, size_t n) { return memcpy(a, b, n); }'
    printf '%s\n' "$1"
  } > "$work/a.c"
  $cc -O1 -fPIC -c "$work/a.c" -o "$work/a.o"
  rm -f "$work/a.a"
  ar rc "$work/a.a" "$work/a.o"
  $cc -shared "$work/a.o" -o "$work/a.so"
  said=$(check "$work/a.so" "$work/a.a") && status=0 || status=1
  case $said in
  *"$2"*) ;;
  *) echo "of '$1' it says '$said', not '$2'"; exit 1 ;;
  esac
  [ "$status" = "$([ -z "$2" ] && echo 0 || echo 1)" ] || { echo "'$1': status $status"; exit 1; }
}
cc=$*
try 'int f(char *s) { return snprintf(s, 4, "%s", s); }' ''
try 'int f(void) { return puts("here"); }' 'calls puts (output)'
try 'void f(void) { fprintf(stderr, "%d", 1); }' '(output)'
try 'char *f(void) { return getenv("HOME"); }' 'calls getenv (environment)'
try 'char *f(void) { return setlocale(LC_ALL, ""); }' 'calls setlocale (locale)'
try 'void f(int s) { signal(s, SIG_IGN); }' '(signals)'
try 'void f(void) { abort(); }' 'calls abort (end)'
try 'int f(void) { return atexit(abort); }' 'calls abort (end)'
try 'int n; __attribute__((constructor)) void f(void) { n = 1; }' 'would run as the library is loaded'
try 'int n; __attribute__((destructor)) void f(void) { n = 1; }' 'would run as the library is loaded'
