// The Metal standard library for kernels that the source tool has rewritten. Precompiled once; .metal files never include it themselves.
#pragma once
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include "config.h"
#include "limits.h"
#include "traits.h"
#include "vector.h"
#include "math.h"
#include "integer.h"
#include "geometric.h"
#include "values.h"
#include "synchronize.h"
#include "simdgroup.h"
#include "simdgroup_matrix.h"
#include "launch.h"
#pragma clang diagnostic pop

#define kernel
#define is_function_constant_defined(NAME) (msl_defined_##NAME)
// Words of OpenCL that are ordinary names in MSL.
#define global msl_name_global
#define local msl_name_local
#define generic msl_name_generic
#define pipe msl_name_pipe
