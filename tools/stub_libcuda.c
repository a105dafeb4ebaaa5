/* A stand-in for NVIDIA's driver, so that MXNet's CUDA build can be imported and tested on CPU contexts without a GPU:
 *
 *     gcc -shared -fPIC -Wl,-soname,libcuda.so.1 stub_libcuda.c -o libcuda.so.1
 *
 * Every function reports that there is no device. -DCUDA_VERSION=10020 makes it a driver that knows its version, and
 * -DCAPABILITY=86 one that lists a GPU of compute capability 8.6 with 24 GiB, on which nothing can be computed. */
#include <stddef.h>
#include <string.h>

#define NO_DEVICE(name) \
    int name(void) { return 100; }

NO_DEVICE(cuDevicePrimaryCtxRetain)
NO_DEVICE(cuGetErrorString)
NO_DEVICE(cuGetProcAddress)
NO_DEVICE(cuGraphKernelNodeGetParams)
NO_DEVICE(cuGraphNodeGetType)
NO_DEVICE(cuLaunchKernel)
NO_DEVICE(cuModuleGetFunction)
NO_DEVICE(cuModuleLoadData)
NO_DEVICE(cuModuleLoadDataEx)
NO_DEVICE(cuModuleUnload)

#ifdef CUDA_VERSION
int cuDriverGetVersion(int *version) {
    *version = CUDA_VERSION;
    return 0;
}
#else
NO_DEVICE(cuDriverGetVersion)
#endif

#ifdef CAPABILITY
int cuInit(unsigned int flags) { return 0; }
int cuDeviceGetCount(int *count) {
    *count = 1;
    return 0;
}
int cuDeviceGet(int *device, int index) {
    *device = index;
    return 0;
}
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, "Stub GPU", size);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = (size_t)24 << 30;
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? CAPABILITY / 10 : attribute == 76 ? CAPABILITY % 10 : 0;
    return 0;
}
#else
NO_DEVICE(cuInit)
NO_DEVICE(cuDeviceGet)
#endif
