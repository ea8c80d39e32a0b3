def test_smoke(trained):
    from conftest import lines
    cell = trained()
    print((cell/'manifest.json').read_text())
    for l in lines(cell): print(l)
    import os; print(os.listdir(cell), os.listdir(cell/'model'))
    cell = trained('l', kind='lora')
    for l in lines(cell): print(l)
    import os; print(os.listdir(cell), os.listdir(cell/'model'))
    print((cell/'model/adapter_config.json').read_text())
