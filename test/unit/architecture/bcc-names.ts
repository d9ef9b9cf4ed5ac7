/**
 * Names of BCC's Python side, as its reference guide and its code at 0.26 spell them: methods, attributes, and keyword
 * arguments. What we have of them is spelled like this; what we do not have is here as well, so that nobody gives one of
 * these names to something else.
 */
export const bccNames: ReadonlySet<string> = new Set(
  `
  hdr_file src_file text debug cflags usdt_contexts allow_rlimit device attach_usdt_ignore_pid
  cleanup close load_func load_funcs get_table dump_func disassemble_func decode_table free_bcc_memory donothing
  func_name prog_type attach_type keytype leaftype reducer sizeinfo

  attach_kprobe attach_kretprobe detach_kprobe detach_kretprobe detach_kprobe_event detach_kprobe_event_by_fn
  get_kprobe_functions get_probe_limit
  event event_off event_re fn_name maxactive ev_name
  attach_uprobe attach_uretprobe detach_uprobe detach_uretprobe detach_uprobe_event
  name sym sym_re sym_off addr pid
  attach_tracepoint detach_tracepoint attach_raw_tracepoint detach_raw_tracepoint
  tp tp_re
  attach_kfunc attach_kretfunc detach_kfunc detach_kretfunc attach_fmod_ret detach_fmod_ret attach_lsm detach_lsm
  add_prefix
  attach_perf_event attach_perf_event_raw detach_perf_event
  attr ev_type ev_config sample_period sample_freq cpu group_fd
  attach_xdp remove_xdp attach_raw_socket attach_func detach_func
  dev fn flags attachable_fd

  trace_open trace_readline trace_fields trace_print
  nonblocking fmt task ts msg
  perf_buffer_poll perf_buffer_consume kprobe_poll ring_buffer_poll ring_buffer_consume
  timeout

  ksym ksymname add_module get_user_functions get_user_addresses get_user_functions_and_addresses
  show_module show_offset demangle
  find_library find_exe get_tracepoints tracepoint_exists
  get_syscall_prefix get_syscall_fnname fix_syscall_fnname
  num_open_kprobes num_open_uprobes num_open_tracepoints
  support_kfunc support_lsm support_fmod_ret support_raw_tracepoint support_raw_tracepoint_in_module
  kernel_struct_has_field kernel_enum_has_val struct_name field_name enum_name enum_value monotonic_time generate_auto_includes

  probe enable_probe enable_probe_or_bail get_text get_probe_arg_ctype enumerate_probes enumerate_active_probes
  probe_name arg_index bin_path semaphore num_locations num_arguments short_name get_location get_argument
  constant deref_offset deref_ident base_register_name index_register_name scale
  resolve_name build_id

  map_id map_fd get_fd ttype max_entries _name
  get pop update keys values items clear
  Key Leaf ttype flags
  key_sprintf leaf_sprintf key_scanf leaf_scanf
  iter next iteritems itervalues zero
  items_lookup_batch items_lookup_and_delete_batch items_delete_batch items_update_batch
  ct_keys ct_values
  print_log2_hist print_linear_hist print_json_hist
  val_type section_header section_print_fn bucket_fn strip_leading_zero bucket_sort_fn
  clearitem clean_up getvalue sum max average
  walk stack_id resolve
  push peek
  open_ring_buffer open_perf_buffer open_perf_event
  callback ctx page_cnt lost_cb wakeup_events typ config
`
    .trim()
    .split(/\s+/),
);
