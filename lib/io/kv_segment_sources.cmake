# Segments of the KV cache: the part of lib/io that needs HDF5 (the serial library; no MPI).
find_package(PkgConfig REQUIRED)
pkg_search_module(HDF5 REQUIRED IMPORTED_TARGET GLOBAL hdf5-serial hdf5)

set(kv_segment_sources
  file_seal.cpp
  hdf5.cpp
  hdf5_image.cpp
  hdf5_native.cpp
  hdf5_types.cpp
  kv_master.cpp
  kv_segment.cpp
  kv_segment_reader.cpp
  kv_segment_writer.cpp
  positioned_io.cpp)
set(kv_segment_libs PkgConfig::HDF5)
