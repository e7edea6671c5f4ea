# In its place, a test puts the real one.
import ./nixos/lib
