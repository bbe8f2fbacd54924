"""Tests of the handlers: a job and a scripted far end in, a harvest out."""
