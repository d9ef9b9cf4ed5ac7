#include <rxbpf/in6-members.h>
