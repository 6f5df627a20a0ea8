# Queue, documents and results: the part of lib/io that needs JSON, zlib and xxhash.
find_package(ZLIB REQUIRED)
find_package(simdjson REQUIRED)
find_package(nlohmann_json REQUIRED)

set(queue_sources
  atomic_file.cpp
  document.cpp
  input_stream.cpp
  job.cpp
  job_hash.cpp
  job_parser.cpp
  job_utf8.cpp
  output_dir.cpp
  output_dir_files.cpp
  output_dir_index.cpp
  queue_merge.cpp
  queue_reader.cpp
  queue_reader_lines.cpp
  queue_split.cpp
  queue_split_plan.cpp
  result.cpp
  result_bytes.cpp
  video_tokens_file.cpp
  video_tokens_layout.cpp)
set(queue_libs ZLIB::ZLIB simdjson::simdjson nlohmann_json::nlohmann_json)
