# Queue, documents and results: the part of lib/io that needs JSON, zlib and xxhash.
find_package(ZLIB REQUIRED)
find_package(simdjson REQUIRED)
find_package(nlohmann_json REQUIRED)

set(queue_sources
  document.cpp
  input_stream.cpp
  job.cpp
  job_hash.cpp
  job_parser.cpp
  job_utf8.cpp
  output_dir.cpp
  output_dir_files.cpp
  output_dir_index.cpp
  queue_reader.cpp
  queue_reader_lines.cpp
  result.cpp
  result_bytes.cpp)
set(queue_libs ZLIB::ZLIB simdjson::simdjson nlohmann_json::nlohmann_json)
