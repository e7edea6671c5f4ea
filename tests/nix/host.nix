# What a build may use of this machine: `bash`, and variables for the build. A test that builds puts
# its own file here.
null
