# Everything but attention. Device code calls constexpr functions of the host's headers (layouts, noise, element types).
set(dense_cuda_sources
  cuda/norm.cu cuda/activation.cu cuda/embedding.cu cuda/rope_kv.cu cuda/rows.cu cuda/random_fill.cu cuda/merge_states.cu
  cuda/linear.cu cuda/linear_skinny_bf16.cu cuda/linear_skinny_plain.cu cuda/logits_rows.cu cuda/logits_top.cu)
set_source_files_properties(${dense_cuda_sources} PROPERTIES COMPILE_OPTIONS "--expt-relaxed-constexpr")
list(APPEND cuda_sources ${dense_cuda_sources} cuda/linear_pack.cpp cuda/logits.cpp)
