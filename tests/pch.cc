// SPDX-License-Identifier: MIT
// Carries the precompiled <gtest/gtest.h> that all test programs share.
