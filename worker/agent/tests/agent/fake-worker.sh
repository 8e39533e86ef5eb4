#!/bin/sh
# A worker that does what the spec's environment says: CHECK when it is asked whether it can work, WORK otherwise.
if [ "$1" = --check ]; then
    eval "${CHECK:-echo ready}"
else
    echo "arguments: $*"
    while [ "$1" != --parent-pid ]; do shift; done
    PARENT=$2
    export PARENT
    eval "$WORK"
fi
