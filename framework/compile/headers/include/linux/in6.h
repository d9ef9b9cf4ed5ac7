#include <rxbpf/in6-members.h>
#include <rxbpf/inlines.h>
