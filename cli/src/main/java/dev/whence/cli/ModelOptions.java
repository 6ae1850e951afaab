package dev.whence.cli;

import picocli.CommandLine.Option;

/** Which model computes, and how. */
final class ModelOptions {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "M",
      description = "a Hugging Face directory, a GGUF file, or a name in the Hugging Face cache")
  String model = "";

  @Option(
      names = "--dtype",
      defaultValue = "auto",
      paramLabel = "auto|bf16|fp32",
      description = "auto: bf16 where the processor has it, else fp32")
  String dtype = "auto";

  @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
  String device = "auto";

  @Option(
      names = "--chat-template",
      paramLabel = "F",
      defaultValue = "",
      description = "a Jinja template to use instead of the model's own")
  String chatTemplate = "";
}
