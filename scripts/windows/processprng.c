/* bcryptprimitives.dll for Wine 8, which has none.
 *
 * Programs written in Rust ask this library for random bytes as they start. Real Windows always has
 * it; Wine got it later. The stand-in passes the request on to RtlGenRandom (exported as
 * SystemFunction036). It is for tests under Wine only, and nothing of it ships. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *buffer, SIZE_T length)
{
    const SIZE_T most = 1u << 20; /* the call below counts in 32 bits */
    SIZE_T done, step;

    for (done = 0; done < length; done += step) {
        step = length - done < most ? length - done : most;
        if (!SystemFunction036(buffer + done, (ULONG)step))
            return FALSE;
    }
    return TRUE;
}
