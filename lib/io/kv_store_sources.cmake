# The folder of finished prefills (--kv-store).
set(kv_store_sources
  kv_coverage.cpp
  kv_segment_check.cpp
  kv_store.cpp
  kv_store_entry.cpp
  kv_store_files.cpp
  kv_store_prune.cpp
  kv_store_publish.cpp
  kv_store_scan.cpp
  kv_store_verify.cpp)
