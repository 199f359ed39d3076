from docs.generator import main

main()
