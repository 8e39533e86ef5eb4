//! Files that appear whole or not at all: no temporary name is left behind, whatever is killed.
