/* A stand-in for NVIDIA's driver, so that MXNet's CUDA build can be imported and tested on CPU contexts without a GPU:
 *
 *     gcc -shared -fPIC -Wl,-soname,libcuda.so.1 stub_libcuda.c -o libcuda.so.1
 *
 * Every function reports that there is no device. -DCUDA_VERSION=10020 makes it a driver that knows its version. */
#define NO_DEVICE(name) \
    int name(void) { return 100; }

NO_DEVICE(cuDeviceGet)
NO_DEVICE(cuDevicePrimaryCtxRetain)
NO_DEVICE(cuGetErrorString)
NO_DEVICE(cuGetProcAddress)
NO_DEVICE(cuGraphKernelNodeGetParams)
NO_DEVICE(cuGraphNodeGetType)
NO_DEVICE(cuInit)
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
