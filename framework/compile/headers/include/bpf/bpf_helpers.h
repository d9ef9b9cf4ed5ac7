/* Helpers, SEC() and bpf_printk() need no include here; the header exists so that sources may name it. */
