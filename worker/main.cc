// reeve-worker: runs tasks for a master, with the built-in handlers.

#include "worker/sdk/worker.h"

int main(int argc, char** argv) { return reeve::Worker().Main(argc, argv); }
