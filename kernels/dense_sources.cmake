# Linear layers, norms, activations, embedding and logits. Files named after an instruction set are compiled for it and
# run only where the processor has it; everything else is built for any x86-64.
set(linear_dnnl cpu/linear_dnnl_none.cpp)
if(LONGHAUL_ONEDNN)
  set(linear_dnnl cpu/linear_dnnl.cpp)
endif()
set(dense_sources
  linear.cpp linear_bytes.cpp norm.cpp embedding.cpp logits.cpp rows.cpp random_fill.cpp
  reference/linear.cpp reference/norm.cpp reference/embedding.cpp reference/logits.cpp
  cpu/linear.cpp ${linear_dnnl} cpu/linear_plain.cpp cpu/linear_avx2.cpp cpu/linear_avx512.cpp cpu/linear_avx512_bf16.cpp
  cpu/norm.cpp cpu/activation_plain.cpp cpu/activation_avx2.cpp cpu/activation_avx512.cpp
  cpu/embedding.cpp cpu/logits.cpp)

set(dense_avx2 -mavx2 -mfma)
set(dense_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC's own avx512fintrin.h (bug 105593): undefined vectors that it passes as masked-out operands.
  list(APPEND dense_avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
endif()
set_source_files_properties(cpu/linear_avx2.cpp cpu/activation_avx2.cpp
  PROPERTIES COMPILE_OPTIONS "${dense_avx2}")
set_source_files_properties(cpu/linear_avx512.cpp cpu/activation_avx512.cpp
  PROPERTIES COMPILE_OPTIONS "${dense_avx512}")
set_source_files_properties(cpu/linear_avx512_bf16.cpp
  PROPERTIES COMPILE_OPTIONS "${dense_avx512};-mavx512bf16")
