# Attention, merging of partial results, rotary embedding. The files of one instruction set get its flags; everything else is
# built for the base architecture, so one binary runs everywhere. Contraction is off: a product and a sum round alike wherever
# they are compiled.
set(attention_sources
  exec_context.cpp attention.cpp merge_states.cpp rope_kv.cpp
  reference/attention.cpp reference/merge_states.cpp reference/rope_kv.cpp)
set(attention_cpu_sources
  cpu/attention.cpp cpu/attention_plan.cpp cpu/attention_plain.cpp cpu/merge_states.cpp cpu/rope_kv.cpp)
set_source_files_properties(${attention_cpu_sources} PROPERTIES COMPILE_OPTIONS "-ffp-contract=off")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  # GCC 12 takes the undefined operand inside its own AVX-512 intrinsics for a mistake of ours (GCC bug 105593).
  set(avx512_flags -mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized>")
  set_source_files_properties(cpu/attention_avx2.cpp
    PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;-mavx2;-mfma")
  set_source_files_properties(cpu/attention_avx512.cpp
    PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;${avx512_flags}")
  set_source_files_properties(cpu/attention_avx512_bf16.cpp
    PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;${avx512_flags};-mavx512bf16")
  list(APPEND attention_cpu_sources
    cpu/attention_avx2.cpp cpu/attention_avx512.cpp cpu/attention_avx512_bf16.cpp)
endif()
list(APPEND attention_sources ${attention_cpu_sources})
