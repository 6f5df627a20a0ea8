# The checkpoint folder: manifests, which segments are live, garbage.
set(checkpoint_sources
  base64.cpp
  checkpoint_dir.cpp
  checkpoint_names.cpp
  checkpoint_scan.cpp
  folder_changes.cpp
  manifest_read.cpp
  manifest_write.cpp)
