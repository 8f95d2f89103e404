/* Plug-ins for plugin_loader_test, one a definition of TEST_PLUGIN_…. */

#include <stdio.h>
#include <string.h>

#include "worker/sdk/plugin.h"

#if !defined(TEST_PLUGIN_not_one)

/* Answers with all that a task may ask; `state` is a text. */
static void Tell(void* state, const reeve_host* host, reeve_task* task, const char* input,
                 size_t size) {
  char answer[512];
  size_t length = 0, none = 0;
  const char* param = host->param(task, "p", &length);
  const int written = snprintf(answer, sizeof answer,
                               "%s job=%llu index=%u attempt=%u p=%.*s none=%s deadline=%lld "
                               "cancelled=%d slept=%d input=%.*s",
                               (const char*)state, (unsigned long long)host->job(task),
                               host->index(task), host->attempt(task), (int)length, param,
                               host->param(task, "none", &none), (long long)host->deadline(task),
                               host->cancelled(task), host->sleep(task, 1), (int)size, input);
  host->succeed(task, answer, (size_t)written);
  host->fail(task, REEVE_BAD_INPUT, "late", 4); /* The first answer counts. */
}

static void Refuse(void* state, const reeve_host* host, reeve_task* task, const char* input,
                   size_t size) {
  (void)state;
  host->fail(task, size == 0 ? REEVE_AGAIN_MAY_HELP : REEVE_BAD_INPUT, input, size);
}

static void Forget(void* state, const reeve_host* host, reeve_task* task, const char* input,
                   size_t size) {
  (void)state, (void)host, (void)task, (void)input, (void)size;
}

static void Add(void* state, const reeve_host* host, reeve_task* task, const char* input,
                size_t size) {
  const unsigned char key[16] = {1, 2, 3};
  (void)state;
  if (host->add_input(task, key, input, size) != 0) {
    host->fail(task, REEVE_AGAIN_MAY_HELP, host->last_error(task), strlen(host->last_error(task)));
  } else {
    (void)host->count(task, "added", 7);
    host->succeed(task, "added", 5);
  }
}

/* By its input: fails for good, for now, or tells what it was left and is left of others. */
static void Leave(void* state, const reeve_host* host, reeve_task* task, const char* input,
                  size_t size) {
  char answer[512];
  size_t length = 0, result_length = 0, none_length = 0;
  const char* details = host->details(task, &length);
  const char* result = host->predecessor_result(task, "split", 7, &result_length);
  const char* none = host->predecessor_result(task, "split", 8, &none_length);
  (void)state;
  if (size > 0 && input[0] == 'p') host->fail(task, REEVE_PERMANENT, "never", 5);
  if (size > 0 && input[0] == 'a') host->again_after(task, 1500, "later", 5);
  if (host->keep_details(task, input, size) != 0) {
    host->fail(task, REEVE_AGAIN_MAY_HELP, host->last_error(task), strlen(host->last_error(task)));
    return;
  }
  const int written =
      snprintf(answer, sizeof answer, "details=%.*s result=%.*s none=%d discarded=%d", (int)length,
               details, (int)result_length, result, none == NULL, host->discarded(task));
  host->succeed(task, answer, (size_t)written);
}

uint32_t reeve_plugin_abi(void) {
#if defined(TEST_PLUGIN_other_version)
  return REEVE_PLUGIN_ABI + 1;
#else
  return REEVE_PLUGIN_ABI;
#endif
}

int reeve_plugin_register(const reeve_host* host, reeve_registrar* registrar) {
#if defined(TEST_PLUGIN_refusing)
  (void)host, (void)registrar, (void)Tell, (void)Refuse, (void)Forget, (void)Add, (void)Leave;
  return 7;
#else
  static char state[] = "state";
#if defined(TEST_PLUGIN_bad_name)
  const char* first = "Not A Name";
#else
  const char* first = "tell";
#endif
  const reeve_handler handlers[] = {{sizeof(reeve_handler), first, Tell, state, 0},
                                    {sizeof(reeve_handler), "refuse", Refuse, NULL, 1},
                                    {sizeof(reeve_handler), "forget", Forget, NULL, 0},
                                    {sizeof(reeve_handler), "add", Add, NULL, 0},
                                    {sizeof(reeve_handler), "leave", Leave, NULL, 0}};
  for (size_t i = 0; i < sizeof handlers / sizeof *handlers; ++i) {
    if (host->add_handler(registrar, &handlers[i]) != 0) return 1;
  }
  return host->size < sizeof(reeve_host) ? 1 : 0;
#endif
}

#endif
