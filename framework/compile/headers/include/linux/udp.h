#include <rxbpf/sock-members.h>
