# find_package(twain) and target_link_libraries(PROGRAM twain::twain)
include(${CMAKE_CURRENT_LIST_DIR}/twainTargets.cmake)
