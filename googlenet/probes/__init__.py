"""Tests of maps on pictures, and pictures of what channels look for."""
