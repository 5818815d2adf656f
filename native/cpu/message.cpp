#include <stdarg.h>
#include <stdio.h>

#include "kernel.h"

const char* rlx_message(const char* format, ...) {
  static thread_local char text[256];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}
