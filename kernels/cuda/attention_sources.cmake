list(APPEND cuda_sources cuda/attention.cpp cuda/attention_combine.cu cuda/attention_decode.cu cuda/attention_hopper.cu
  cuda/attention_mma.cu cuda/attention_plain.cu cuda/attention_plan.cpp cuda/attention_schedule.cpp
  cuda/attention_tensor_map.cpp cuda/attention_work_cut.cpp cuda/attention_work_list.cpp)
