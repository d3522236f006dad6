#ifndef KEYSTEAD_TEST_CLOCK_H
#define KEYSTEAD_TEST_CLOCK_H

/* A library to be preloaded into a program under test: it moves the program's clocks. The file that the environment
 * variable TEST_CLOCK_FILE names holds two numbers of 8 bytes, which may change while the program runs: seconds added to
 * the wall clock, and seconds added to the clock that counts since boot. */

#endif
