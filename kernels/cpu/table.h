// How a family's function-pointer table leaves its ISA units and reaches csrc.
//
//   pool.h    struct PoolKernels { void (*max_row)(...); ... };
//             FD_DECLARE_TABLE(PoolKernels, pool)
//   pool.inc  namespace fd::FD_ISA { namespace { loops } const PoolKernels pool = {...}; }
//   pool.cpp  const PoolKernels& k = FD_TABLE(pool);
//
// FD_DECLARE_WIDE_TABLE and FD_WIDE_TABLE are for families with a unit for avx512_bf16 too.
// setup.py compiles pool.inc once per instruction set with FD_ISA set to its namespace.
#pragma once

#if defined(__x86_64__)
#define FD_DECLARE_TABLE(Type, name) \
  namespace fd::baseline {           \
  extern const Type name;            \
  }                                  \
  namespace fd::avx2 {               \
  extern const Type name;            \
  }                                  \
  namespace fd::avx512 {             \
  extern const Type name;            \
  }
#define FD_DECLARE_WIDE_TABLE(Type, name) \
  FD_DECLARE_TABLE(Type, name)            \
  namespace fd::avx512_bf16 {             \
  extern const Type name;                 \
  }
#define FD_TABLE(name) (*fd::pick(&fd::baseline::name, &fd::avx2::name, &fd::avx512::name))
#define FD_WIDE_TABLE(name) \
  (*fd::pick(&fd::baseline::name, &fd::avx2::name, &fd::avx512::name, &fd::avx512_bf16::name))
#else
#define FD_DECLARE_TABLE(Type, name) \
  namespace fd::baseline {           \
  extern const Type name;            \
  }
#define FD_DECLARE_WIDE_TABLE(Type, name) FD_DECLARE_TABLE(Type, name)
#define FD_TABLE(name) (fd::baseline::name)
#define FD_WIDE_TABLE(name) FD_TABLE(name)
#endif
