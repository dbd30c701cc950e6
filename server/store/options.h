/* The store's options, for the command line. */
#pragma once

#include "base/option.h"
#include "store/store.h"

extern const struct option_desc store_option_descs[];
extern const size_t store_option_count;
