# What `cmake --install` and cpack put where. Of a client's build (TWAIN_CLIENT): the command and its pages.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
if(TWAIN_CLIENT)
  set(CMAKE_INSTALL_DOCDIR ${CMAKE_INSTALL_DATAROOTDIR}/doc/twain-client)
endif()

install(TARGETS twain)
install(FILES LICENSE NOTICE CHANGELOG.md packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

# ---- man pages and completion: the program writes them from the tables of its help
if(NOT CMAKE_CROSSCOMPILING AND NOT TWAIN_SANITIZE AND NOT TWAIN_TSAN)
  set(pages ${CMAKE_BINARY_DIR}/pages)
  add_custom_command(OUTPUT ${pages}/written DEPENDS twain packaging/pages.cmake COMMENT "man pages and completion"
                     COMMAND ${CMAKE_COMMAND} -DTWAIN=$<TARGET_FILE:twain> -DOUT=${pages}
                             -P ${CMAKE_SOURCE_DIR}/packaging/pages.cmake)
  add_custom_target(pages ALL DEPENDS ${pages}/written)
  install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${pages}/bash/twain DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${pages}/zsh/_twain DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()

# ---- the library, batch scripts and units
if(NOT TWAIN_CLIENT)
  set(cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/twain)
  file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(jobs/api/twain.pc.in twain.pc @ONLY)
  write_basic_package_version_file(twainConfigVersion.cmake COMPATIBILITY SameMajorVersion)
  install(TARGETS libtwain EXPORT twainTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT twainTargets NAMESPACE twain:: DESTINATION ${cmake_folder})
  install(FILES jobs/api/twainConfig.cmake ${CMAKE_BINARY_DIR}/twainConfigVersion.cmake DESTINATION ${cmake_folder})
  install(FILES ${CMAKE_BINARY_DIR}/twain.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(FILES docs/library.md examples/embed.c DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(DIRECTORY slurm systemd DESTINATION ${CMAKE_INSTALL_DATADIR}/twain)
endif()
file(RELATIVE_PATH up /${CMAKE_INSTALL_DATADIR}/twain/modulefiles/twain /)
configure_file(packaging/modulefile.in modulefile @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/modulefile DESTINATION ${CMAKE_INSTALL_DATADIR}/twain/modulefiles/twain
        RENAME ${PROJECT_VERSION})

# ---- a Debian package: cpack -G DEB
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME twain)
if(NOT CPACK_PACKAGE_CONTACT)  # who builds a package for others names himself
  set(CPACK_PACKAGE_CONTACT "the authors of twain <root@localhost>")
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "two parties run a transformer on secret-shared data")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/packaging/debian.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS openmpi-bin)
set(CPACK_DEBIAN_PACKAGE_CONFLICTS twain-client)
if(TWAIN_CLIENT)
  set(CPACK_PACKAGE_NAME twain-client)
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "client and model owner of twain: encode, share, ask and reveal")
  unset(CPACK_DEBIAN_PACKAGE_RECOMMENDS)
  set(CPACK_DEBIAN_PACKAGE_CONFLICTS twain)
elseif(cuda)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CUDAToolkit_LIBRARY_DIR})
endif()
include(CPack)
