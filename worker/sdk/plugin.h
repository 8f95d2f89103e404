/* Handlers in a shared library: `reeve-worker --plugin libmine.so`.
 *
 * A boundary of C, so that a plug-in may be built with any compiler, any standard library and any
 * language that speaks C, and stays good when Reeve is updated. plugin.hpp is the same for C++.
 *
 *   static void Run(void* state, const reeve_host* host, reeve_task* task, const char* input,
 *                   size_t size) {
 *     host->succeed(task, input, size);
 *   }
 *   uint32_t reeve_plugin_abi(void) { return REEVE_PLUGIN_ABI; }
 *   int reeve_plugin_register(const reeve_host* host, reeve_registrar* registrar) {
 *     const reeve_handler mine = {sizeof mine, "mine", Run, NULL, 0};
 *     return host->add_handler(registrar, &mine);
 *   }
 *
 * Versions: a worker loads a plug-in whose reeve_plugin_abi() is its own REEVE_PLUGIN_ABI, and
 * refuses others by name. Within one, functions are only added at the end of reeve_host: a plug-in
 * that uses a newer one looks at `size` first.
 *
 * Threads: reeve_plugin_register is called once, before the worker serves. A handler runs on pool
 * threads, several at once. What belongs to a task is the thread's that runs it.
 *
 * Nothing may be thrown across this boundary. Bytes that a function is given are copied; those it
 * returns live as long as its task.
 */

#ifndef REEVE_WORKER_SDK_PLUGIN_H_
#define REEVE_WORKER_SDK_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REEVE_PLUGIN_ABI 1

typedef struct reeve_task reeve_task;           /* An attempt. */
typedef struct reeve_registrar reeve_registrar; /* Valid within reeve_plugin_register. */
typedef struct reeve_host reeve_host;

/* Answers the task by exactly one of `succeed` and `fail`; without, it has failed. */
typedef void (*reeve_run)(void* state, const reeve_host* host, reeve_task* task, const char* input,
                          size_t size);

typedef struct reeve_handler {
  size_t size;      /* sizeof(reeve_handler) */
  const char* name; /* [a-z0-9_-]{1,64} */
  reeve_run run;
  void* state;       /* Handed to `run`; lives as long as the worker. */
  uint32_t isolated; /* 1: in child processes of the worker, see HandlerOptions in worker.h. */
} reeve_handler;

enum {
  REEVE_AGAIN_MAY_HELP = 0, /* HANDLER_ERROR: further attempts, if the job has any. */
  REEVE_BAD_INPUT = 1,      /* BAD_INPUT: not tried again. */
  REEVE_PERMANENT = 2, /* HANDLER_ERROR, not tried again. As REEVE_AGAIN_MAY_HELP to a worker whose
                          reeve_host ends before `again_after`. */
};

struct reeve_host {
  size_t size; /* sizeof(reeve_host) of the worker. */

  /* Returns: 0, or 1 if the name is none. A later handler of a name replaces the one before. */
  int (*add_handler)(reeve_registrar* registrar, const reeve_handler* handler);

  uint64_t (*job)(const reeve_task* task);
  uint32_t (*index)(const reeve_task* task);
  uint32_t (*attempt)(const reeve_task* task); /* From 1. */
  /* An option of the job (`--param NAME=VALUE`); "" and 0 if it was not given. */
  const char* (*param)(reeve_task* task, const char* name, size_t* size);
  /* When the time limit passes: microseconds since 1970; INT64_MAX: never. */
  int64_t (*deadline)(const reeve_task* task);
  /* Not 0: the task was cancelled, its time is up, or its soft time limit has passed; return soon.
   * Cheap. */
  int (*cancelled)(const reeve_task* task);
  /* Sleeps, but wakes early when cancelled. Returns: not 0 if so. */
  int (*sleep)(reeve_task* task, uint64_t microseconds);

  /* The result, at most 3 MiB. */
  void (*succeed)(reeve_task* task, const char* output, size_t size);
  /* `kind`: one of the above. Of the message 64 KiB are kept. */
  void (*fail)(reeve_task* task, int kind, const char* message, size_t size);

  /* Adds a task to the own job, see AttemptContext::AddInput in task_context.h. `key`: 16 bytes;
   * two inputs of a key are one. Returns: 0, or 1 with the reason as the task's `last_error`. */
  int (*add_input)(reeve_task* task, const unsigned char* key, const char* input, size_t size);
  const char* (*last_error)(const reeve_task* task);
  /* Adds to a counter of the job, see AttemptContext::Count. Returns: as add_input does. */
  int (*count)(reeve_task* task, const char* counter, int64_t by);
  /* See AttemptContext. `note` may be NULL. */
  void (*log)(reeve_task* task, const char* line, size_t size);
  void (*progress)(reeve_task* task, double done, const char* note);
  /* Returns: the path, or NULL with the reason as the task's `last_error`. */
  const char* (*scratch_folder)(reeve_task* task);

  /* Answers the task as `fail` does: try again after so long (at most a day), and do not count this
   * attempt. */
  void (*again_after)(reeve_task* task, uint64_t milliseconds, const char* message, size_t size);
  /* See AttemptContext: what the attempt before left, "" and 0 if nothing; and what is left for the
   * next one, at most 1,024 bytes. The latter returns as add_input does. */
  const char* (*details)(const reeve_task* task, size_t* size);
  int (*keep_details)(reeve_task* task, const char* details, size_t size);
  /* The result of a task of a job that the own one depends on. Returns: NULL if there is none. */
  const char* (*predecessor_result)(const reeve_task* task, const char* name, uint32_t index,
                                    size_t* size);
  /* Not 0: the answer is discarded, see TaskContext. */
  int (*discarded)(const reeve_task* task);
};

/* What a plug-in defines. */
uint32_t reeve_plugin_abi(void);
/* Returns: 0, or anything else to keep the worker from starting. */
int reeve_plugin_register(const reeve_host* host, reeve_registrar* registrar);

#ifdef __cplusplus
}
#endif

#endif /* REEVE_WORKER_SDK_PLUGIN_H_ */
